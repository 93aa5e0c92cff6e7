# escape=`
FROM x
  	RUN one `
 # inside
    two `  

 three

COPY C:\a\ C:\b`
 c /
RUN ends with ``
CMD `