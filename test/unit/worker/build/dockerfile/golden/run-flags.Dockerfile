FROM x
RUN --mount=type=cache,target=/c,sharing=locked,id=$ID \
    --mount=type=bind,from=tools,source=/bin,target=/t,rw \
    --network=none --security=insecure \
    --mount='type=secret,id=a,"target=/a,b"' \
    --device=vendor.test/gpu=all,required --device=name=b.test/c=d \
    -- --flag to the command
RUN --mount=target=/x ["a"]
run --network="host" x
