/* A line as ls -l prints it; sftp(1) shows it unchanged. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "files/internal.h"

enum { HALF_A_YEAR_S = 182 * 24 * 60 * 60 };

static char kind_letter(mode_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFDIR:
        return 'd';
    case S_IFLNK:
        return 'l';
    case S_IFIFO:
        return 'p';
    case S_IFSOCK:
        return 's';
    case S_IFBLK:
        return 'b';
    case S_IFCHR:
        return 'c';
    default:
        return '-';
    }
}

static void mode_format(mode_t mode, char text[11])
{
    static const char letters[] = "rwxrwxrwx";
    text[0] = kind_letter(mode);
    for (int i = 0; i < 9; i++)
        text[1 + i] = (mode & (0400U >> i)) != 0 ? letters[i] : '-';
    if ((mode & S_ISUID) != 0)
        text[3] = text[3] == 'x' ? 's' : 'S';
    if ((mode & S_ISGID) != 0)
        text[6] = text[6] == 'x' ? 's' : 'S';
    if ((mode & S_ISVTX) != 0)
        text[9] = text[9] == 'x' ? 't' : 'T';
    text[10] = '\0';
}

void longname_format(const struct stat *info, const char *name, int64_t now, char *line,
                     size_t size)
{
    char mode[11];
    char date[32] = "";
    struct tm parts;
    time_t when = info->st_mtim.tv_sec;
    mode_format(info->st_mode, mode);
    int64_t age = now - (int64_t)when;
    if (localtime_r(&when, &parts) == NULL)
        date[0] = '\0';
    else if (age < 0 || age >= HALF_A_YEAR_S)
        (void)strftime(date, sizeof date, "%b %e  %Y", &parts);
    else
        (void)strftime(date, sizeof date, "%b %e %H:%M", &parts);
    /* Numbers for users and groups: clients that want names ask for them (users-groups-by-id).
     * Looking them up here would ask a directory service for each file of a listing. */
    int used =
        snprintf(line, size, "%s %4lu %-8u %-8u %8llu %s ", mode, (unsigned long)info->st_nlink,
                 info->st_uid, info->st_gid, (unsigned long long)info->st_size, date);
    if (used > 0 && (size_t)used < size)
        (void)snprintf(line + used, size - (size_t)used, "%s", name);
}
