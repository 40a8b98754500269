/* afard-child: afard's helper and keeper in a program without TLS. Most of what these take to start,
 * and of a keeper's memory, is what the loader does for OpenSSL, which they hardly use. */
#include <stdio.h>
#include <stdlib.h>

#include "child/faces.h"

enum { EXIT_USAGE = 2 };

int main(int argc, char **argv)
{
    faces_take(argc, argv);
    (void)fprintf(stderr, "afard-child: afard starts this for its commands; see afard(8)\n");
    return EXIT_USAGE;
}
