FROM x
ENV a=1 b="x y" c='x "y' d=x\ y e= "f g"=h
ENV old   value with   spaces = all of it
LABEL com.example.a="multi word" b='c'd"e" \
      f=g=h
LABEL legacy one
ARG a b=2 c= d="$a b"
EXPOSE 80 443/tcp 8000-8010/UDP $PORTS
VOLUME /a /b
VOLUME ["/c d", " /e "]
