# docker build -t portcullis .
# docker run -p 8080:8080 -v "$PWD/data:/data" portcullis      (gateway.yaml in data/)

FROM rust:1-slim-bookworm AS build
WORKDIR /build
COPY . .
RUN cargo build --release --locked
RUN strip -o target/portcullis target/release/portcullis
# The runtime image has no shell to make it with.
RUN mkdir target/data

FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /build/target/portcullis /usr/local/bin/portcullis
COPY --from=build /build/LICENSE /usr/share/doc/portcullis/LICENSE
# gateway.yaml, and beside it the database and the keys that the gateway makes; 65532 is `nonroot`.
COPY --from=build --chown=65532:65532 /build/target/data /data
WORKDIR /data
VOLUME /data
USER 65532:65532
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=5s CMD ["portcullis", "health"]
ENTRYPOINT ["portcullis"]
CMD ["serve"]
