/* Shared by the files of src/files/ and their unit tests only.
 *
 *   serve.c      the loop, and the table of requests
 *   reply.c      answers
 *   path.c       opens a client's path
 *   fence.c      the same, below the roots of a rule
 *   handle.c     open files and directories
 *   ops_data.c   open, read, write, close, copy
 *   ops_stat.c   attributes, by name and by handle
 *   ops_names.c  names: made, removed, renamed, read
 *   ops_dir.c    directories
 *   ops_list.c   our own requests that read
 *   ops_put.c    our own requests that write
 *   ops_check.c  hashes of files (check-file)
 *   ops_more.c   realpath, and OpenSSH's other extensions
 *   hash.c       SHA-256 of data that passes through
 *   longname.c   a line as ls -l prints it
 *   users.c      names of users and groups
 *   note.c       records for the audit log
 *
 * An operation answers exactly once. All paths are as the client sees them; the process sees the
 * same, because it was put into its root directory before. */
#ifndef FILES_INTERNAL_H
#define FILES_INTERNAL_H

#include <dirent.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "base/buffer.h"
#include "base/digest.h"
#include "files/files.h"
#include "wire/file_note.h"
#include "wire/sftp.h"
#include "wire/sftp_attrs.h"

enum {
    FILES_STATUS_BYTES = 512,          /* at most, for a status or handle answer */
    FILES_NAME_BYTES = 2 * 4096 + 512, /* at most, for an answer with one name */
    FILES_DIR_BYTES = 65536            /* at most, for the entries in one answer */
};

/* How long to wait for the lock of a partial file. A file server whose client is gone ends
 * much faster. */
enum { FILES_LOCK_WAIT_MS = 2000 };

struct handle;

/* The names of the directory that the last list@afar was about. */
struct listing {
    char *path; /* owned; the path of the request; NULL: no listing */
    bool above; /* fence_is_above */
    struct buffer names;
    const char **at; /* owned; sorted; points into `names` */
    size_t count;
};

struct files {
    struct buffer in;
    struct buffer out;
    const char *home;
    const struct files_root *roots; /* see files_options */
    size_t root_count;
    bool own_root;
    int note_fd;
    bool note_changes;
    bool note_all;
    bool greeted;     /* INIT was received */
    bool extended;    /* the client knows our private extensions */
    bool limited;     /* a limit on the size of files is set */
    bool failed;      /* an answer could not be made: the file server ends */
    int lock_wait_ms; /* total time left to wait for locks of others */
    struct listing listing;
    struct handle **handles;
    size_t handle_room;
    size_t handle_count;
    size_t handles_max;
};

/* One request. */
struct request {
    struct files *files;
    uint32_t id;
    struct sftp_reader in;
};

/* ---- reply.c --------------------------------------------------------------------------------- */

void reply_status(const struct request *request, enum sftp_status status, const char *text);
/* Answers with the status for an errno; 0: success. */
void reply_errno(const struct request *request, int failed);
/* Answers that the request is malformed. */
void reply_bad(const struct request *request);
void reply_attrs(const struct request *request, const struct stat *info);
/* Answers with one name without attributes, as realpath and readlink do. */
void reply_name(const struct request *request, const char *name);

void attrs_of(const struct files *files, const struct stat *info, struct sftp_attrs *attrs);

/* Begins an answer of any type, with its id; at most `most_bytes` follow. */
void reply_begin(struct sftp_writer *writer, const struct request *request, enum sftp_type type,
                 size_t most_bytes);
void reply_end(struct sftp_writer *writer, const struct request *request);

/* ---- path.c ---------------------------------------------------------------------------------- */

/* Reads a path from the request, NUL-terminated. False: the request has been answered. */
bool path_read(struct request *request, char path[SFTP_PATH_MAX_BYTES]);

/* `path` must be shorter than SFTP_PATH_MAX_BYTES; a longer one is cut. */
void path_copy(char out[SFTP_PATH_MAX_BYTES], const char *path);

/* Where an operation on a name acts: on `name` in the directory `dir`. */
struct place {
    int dir; /* AT_FDCWD, or an owned descriptor */
    char name[SFTP_PATH_MAX_BYTES];
    char path[SFTP_PATH_MAX_BYTES]; /* as the client sent it */
};

/* Opens a path. `writes`: in order to change it. The caller must check what type of file it is. -1:
 * see errno; EXDEV: outside of the rule's roots; EACCES: in a root that is only read. */
int path_open(const struct files *files, const char *path, int flags, mode_t mode, bool writes);

/* Finds the place of a name that is to be made, removed or replaced. False: see errno. place_close
 * closes place->dir. */
bool path_place(const struct files *files, const char *path, struct place *place);
void place_close(struct place *place);

/* Attributes of a path; `follow`: of a link's target. Returns 0 or an errno. */
int path_stat(const struct files *files, const char *path, bool follow, struct stat *info);

/* Attributes of an entry from fence_entry; `folder` is the directory's absolute path. Returns 0, or
 * an errno if the entry cannot be reached. */
int path_stat_seen(const struct files *files, const char *folder, const char *name,
                   struct stat *info);

/* Makes a path absolute, without ".", ".." and double slashes, using only its text and the working
 * directory. False: too long (ENAMETOOLONG), or the working directory is unknown. */
bool path_absolute(const char *path, char out[SFTP_PATH_MAX_BYTES]);

/* ---- fence.c --------------------------------------------------------------------------------- */

/* Like the functions of path.c, for an absolute path, and only below the roots. */
int fence_open(const struct files *files, const char *path, int flags, mode_t mode, bool writes);
bool fence_place(const struct files *files, const char *path, struct place *place);

/* The number of levels from the path's root down to `dir`, the directory of the path's last
 * component. 0 also if that cannot be determined. */
size_t fence_depth(const struct files *files, const char *path, int dir);

/* True if the path is above a root but in none. In such a directory only the entries that lead to
 * roots are visible. */
bool fence_is_above(const struct files *files, const char *path);

/* The name of the `at`-th entry of such a directory; NULL: there are no more. Each name appears
 * once. */
const char *fence_entry(const struct files *files, const char *path, size_t at, char name[256]);

/* ---- handle.c -------------------------------------------------------------------------------- */

/* A partial file: it gets its final name when it is complete. */
struct partial {
    int dir; /* owned; the directory of both names */
    char name[256];
    char target[256];
};

struct handle {
    uint64_t key; /* random; the lowest 16 bits are the index in the table */
    int fd;       /* of a file; -1: this is a directory */
    DIR *dir;     /* NULL: a file, or a directory with fence_is_above */
    char *path;   /* owned; as it was opened */
    size_t entry; /* fence_is_above: index of the next entry */
    bool readable;
    bool writable;
    bool append;
    bool changes; /* the file was created, truncated or written */
    uint64_t read_bytes;
    uint64_t written_bytes;
    /* SHA-256 of what was read or written so far, while that was in order from the start. */
    struct digest *digest; /* NULL: none */
    uint64_t digest_at;
    struct partial *partial; /* owned; NULL: not a partial file */
};

/* Makes a handle. `fd` and `dir` are *moved*, also on failure. NULL: see errno (EMFILE: too
 * many). */
struct handle *handle_new(struct files *files, const char *path, int fd, DIR *dir);

/* Reads a handle from the request; NULL: the request has been answered. */
struct handle *handle_read(struct request *request);
/* The same; a directory's handle is refused. */
struct handle *handle_read_file(struct request *request);

void reply_handle(const struct request *request, const struct handle *handle);

/* Closes and frees it. Returns 0 or an errno of close(2) or closedir(3). */
int handle_close(struct files *files, struct handle *handle);
void handles_close(struct files *files);

/* ---- hash.c ---------------------------------------------------------------------------------- */

/* Begins to hash data that passes through, from offset 0, as long as it comes in order. Without
 * memory there is no hash. */
void hash_begin(struct handle *handle);
void hash_passed(struct handle *handle, const void *data, size_t size, uint64_t offset);
/* The file changes at `offset` by other means than data given to hash_passed: drops a hash that
 * covers that offset. */
void hash_changed(struct handle *handle, uint64_t offset);
/* SHA-256 of data in memory. False: no memory. */
bool hash_once(const void *data, size_t size, uint8_t hash[FILE_NOTE_HASH_BYTES]);
/* SHA-256 of the file's first `size` bytes: reads those that have not passed through. Returns 0 or
 * an errno; ENODATA: the file is shorter. */
int hash_to(struct handle *handle, uint64_t size, uint8_t hash[FILE_NOTE_HASH_BYTES]);

/* ---- shared by operations -------------------------------------------------------------------- */

/* Reads up to `size` bytes; fewer only at the end of the file or after an error. -1: see errno. */
ssize_t read_all(int fd, uint8_t *data, size_t size, uint64_t offset);

/* Returns 0 or an errno. *written is set also on failure. */
int write_all(const struct handle *handle, const uint8_t *data, size_t size, uint64_t offset,
              size_t *written);

/* The type of a file that is not regular, in words; else NULL. Opening a FIFO would hang, opening a
 * device may act. */
const char *strange_kind(mode_t mode);

/* Opens a regular file. -1: the request has been answered; see errno. */
int open_file(struct request *request, const char *path, int flags, mode_t mode);

/* Renames; `new_only`: fails with EEXIST if the new name exists. Returns 0 or an errno. */
int rename_at(int from_dir, const char *from, int to_dir, const char *to, bool new_only);

void listing_close(struct listing *listing);

/* ---- operations: each answers ---------------------------------------------------------------- */

void op_open(struct request *request);
void op_close(struct request *request);
void op_read(struct request *request);
void op_write(struct request *request);
void op_fsync(struct request *request);
void op_copy_data(struct request *request);

void op_stat(struct request *request);
void op_lstat(struct request *request);
void op_fstat(struct request *request);
void op_setstat(struct request *request);
void op_lsetstat(struct request *request);
void op_fsetstat(struct request *request);
void op_statvfs(struct request *request);
void op_fstatvfs(struct request *request);

void op_opendir(struct request *request);
void op_readdir(struct request *request);

void op_remove(struct request *request);
void op_mkdir(struct request *request);
void op_rmdir(struct request *request);
void op_rename(struct request *request);
void op_posix_rename(struct request *request);
void op_hardlink(struct request *request);
void op_symlink(struct request *request);
void op_readlink(struct request *request);

void op_realpath(struct request *request);
void op_expand_path(struct request *request);
void op_home_directory(struct request *request);
void op_limits(struct request *request);
void op_users_groups(struct request *request);
void op_check_file_handle(struct request *request);
void op_check_file_name(struct request *request);

void op_list(struct request *request);
void op_get(struct request *request);
void op_ranges(struct request *request);
void op_put(struct request *request);
void op_partial(struct request *request);
void op_commit(struct request *request);

/* Applies the attributes that are set to an open file (O_PATH is enough, except for the size).
 * Returns 0 or an errno. Modes never set setuid and setgid, nor, inside a fence, the sticky bit. */
int attrs_apply(const struct files *files, int fd, const struct sftp_attrs *attrs);
mode_t attrs_mode(const struct files *files, const struct sftp_attrs *attrs, mode_t otherwise);

/* ---- users.c --------------------------------------------------------------------------------- */

enum { USERS_NAME_BYTES = 256 };

/* Writes "" if there is no such user or group. */
void users_user(const struct files *files, uint32_t uid, char name[USERS_NAME_BYTES]);
void users_group(const struct files *files, uint32_t gid, char name[USERS_NAME_BYTES]);

/* The home directory of a user. False: no such user, or the path is too long. */
bool users_home(const struct files *files, const char *user, char home[SFTP_PATH_MAX_BYTES]);

/* ---- note.c ---------------------------------------------------------------------------------- */

/* Sends a note of an operation, if the audit log wants it. Paths may be relative; `to` may be
 * NULL. */
void note_file(const struct files *files, const struct file_note *note);
/* The same with the note's members as parameters; does not change errno. */
void note_op(const struct files *files, enum file_op op, const char *path, const char *to,
             int failed);

/* Sends a note about the lock of a partial file. */
void note_lock(const struct files *files, enum file_op op, const struct stat *info);

/* ---- longname.c ------------------------------------------------------------------------------ */

/* "-rw-r--r--    1 alice    users        1234 Nov 26 22:45 name", cut to `size`, with numbers
 * instead of names. `now` decides whether the time or the year is shown. */
void longname_format(const struct stat *info, const char *name, int64_t now, char *line,
                     size_t size);

#endif
