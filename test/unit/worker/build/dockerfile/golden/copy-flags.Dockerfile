FROM x
COPY --from=0 --chown=a:$B --chmod=u=rwX,go=rX --link --parents --exclude=*.md --exclude=docs/ a/./b *.c /d/
COPY --link=false --parents=TRUE ["a b", "c\"d", "/e f"]
ADD --keep-git-dir --checksum=sha256:$SUM --unpack=false --link https://example.test/x.git#v1:sub /d
ADD --keep-git-dir=false --unpack --chown="a b" x y
COPY a\ b "c d" /
