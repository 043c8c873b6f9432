# The image of Fairway, for each platform that Node's image has:
#   docker buildx build --platform linux/amd64,linux/arm64 --tag REGISTRY/fairway:0.1.0 --push .
# test/deploy/image.ts runs the same steps without an engine, and starts what they make.
ARG NODE_VERSION=26

# The program is JavaScript alone, the same for every platform.
FROM --platform=$BUILDPLATFORM node:${NODE_VERSION}-slim AS program
WORKDIR /build
COPY package.json package-lock.json tsconfig.json tsconfig.build.json LICENSE ./
COPY src ./src
RUN npm ci --ignore-scripts --no-audit --no-fund
RUN npm run build && find dist -name '*.d.ts' -delete
RUN mkdir app && cp -R package.json package-lock.json LICENSE dist app
RUN cd app && npm ci --omit=dev --ignore-scripts --no-audit --no-fund && rm package-lock.json
# Half of what packages bring is for those who compile against them or read about them.
RUN cd app/node_modules && find . -type f -name '*.[cm]ts' -delete && find . -type f -name '*.ts' -delete && find . -type f -name '*.map' -delete && find . -type f -name tsconfig.json -delete && find . -mindepth 2 -maxdepth 4 -type d '(' -name test -o -name docs -o -name examples ')' -prune -exec rm -r {} +

FROM node:${NODE_VERSION}-slim AS runtime
WORKDIR /build
COPY deploy/image/runtime.sh ./
RUN sh runtime.sh "$(command -v node)" root

FROM scratch
COPY --from=runtime /build/root /
COPY --from=program /build/app /app
USER 65532:65532
EXPOSE 8080 8443 10254
ENTRYPOINT ["/usr/local/bin/node", "/app/dist/cli/main.js"]
