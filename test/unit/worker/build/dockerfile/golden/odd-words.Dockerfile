FROM	x
ENV a="unclosed value
ENV b=trailing\
ENV c=é\ü 🐋="🐋 🐋"
ARG d=' e=f
RUN -- x
RUN --mount=type=tmpfs,target=/a"b c"'d'\ e x
COPY "a b" c
# check=skip=all
EXPOSE "80 81"
