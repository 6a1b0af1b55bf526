/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes a blob of a registered image to standard output:
 *
 *     cc read_blob.c $(pkg-config --cflags --libs sluice) -o read_blob
 *     ./read_blob sha256:... > image.erofs
 */
#include <sluice_client.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int complain(const char* what, int error)
{
    fprintf(stderr, "%s: %s\n", what, strerror(-error));
    return EXIT_FAILURE;
}

int main(int argc, char** argv)
{
    if (argc < 2 || argc > 3) {
        fprintf(stderr, "usage: %s DIGEST [SOCKET]\n", argv[0]);
        return 2;
    }
    struct sluice_options options = SLUICE_OPTIONS_INIT;
    options.socket_path = argc == 3 ? argv[2] : NULL;
    struct sluice_client* client = NULL;
    int status = sluice_connect(&options, &client);
    if (status != 0) {
        return complain("cannot connect to sluiced", status);
    }
    struct sluice_blob* blob = NULL;
    status = sluice_blob_open(client, argv[1], &blob);
    if (status != 0) {
        sluice_close(client);
        return complain(argv[1], status);
    }
    static char buffer[1 << 20];
    int64_t at = 0;
    ssize_t got = 0;
    while ((got = sluice_pread(blob, buffer, sizeof buffer, at)) > 0) {
        if (fwrite(buffer, 1, (size_t)got, stdout) != (size_t)got) {
            break;
        }
        at += got;
    }
    const int written = fflush(stdout) == 0 && got == 0;
    if (got < 0) {
        (void)complain(sluice_blob_digest(blob), (int)got);
    }
    sluice_blob_close(blob);
    sluice_close(client);
    return written ? EXIT_SUCCESS : EXIT_FAILURE;
}
