FROM x
RUN  echo  "a  b" | cat
RUN [ "a", "b c", "\u0041\n" ]
RUN ['a']
RUN [ -f x ] && y
RUN
CMD []
CMD exec "$@"
ENTRYPOINT ["/bin/a"]
ENTRYPOINT []
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
HEALTHCHECK NONE
HEALTHCHECK --interval=1m30s --timeout=500ms --start-period=0s --start-interval=5s --retries=+3 CMD curl -f http://x/ || exit 1
HEALTHCHECK CMD ["a", "b"]
ONBUILD   RUN   spaced   
ONBUILD FOO anything
STOPSIGNAL --ignored SIGTERM
USER  me:us  
WORKDIR /a b
MAINTAINER Some One <one@example.test>
