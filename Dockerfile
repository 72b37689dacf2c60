# A static binary and nothing else.
#
# What such an image cannot do, because there is no shell and no other program in
# it: run apps, builds or nginx on "local". Use it with hosts over ssh:// and
# artifacts that need no build (`ipublish check` says when a build's program is not there),
# and let the built-in proxy of the container, or an nginx on an ssh host
# (balancer.nginx.host), switch.
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -o /out/ipublish ./cmd/ipublish
RUN mkdir -p /out/state /out/tmp && chmod 1777 /out/tmp

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /out/ipublish /ipublish
COPY --from=build --chown=65532:65532 /out/state /var/lib/ipublish
COPY --from=build /out/tmp /tmp
# ~/.ssh/known_hosts and keys are looked for below HOME.
ENV HOME=/var/lib/ipublish
USER 65532:65532
VOLUME /var/lib/ipublish
EXPOSE 8090
ENTRYPOINT ["/ipublish"]
CMD ["serve", "--config", "/etc/ipublish/ipublish.yaml"]
