FROM x
RUN <<EOF
one $A
	two
EOF
RUN <<-"EOF" cat 3<<INPUT > /a
	#!/bin/sh
	EOF
  INPUT
INPUT
COPY --chmod=644 <<-first.txt plain <<'second.txt' /d/
		tabs
	first.txt
$kept
second.txt
ADD <<x.conf https://example.test/a /b/
x
x.conf
RUN cat <<< word
RUN ["sh", "<<EOF"]
RUN it's <<NONE
ONBUILD RUN <<EOF
echo $later
EOF
ONBUILD COPY <<a <<b /
1
a
2
b
ENTRYPOINT <<no
