FROM x
RUN \

first && \
# a comment in between
	second \
  # and one that is indented

  third
ENV a=1 \
    b="x \
y" \
    c=d
RUN two\\
RUN three\\\
RUN is not continued by an escaped escape
   LABEL   indented   yes   
\
RUN begins with an escape
RUN last \
