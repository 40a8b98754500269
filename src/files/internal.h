/* What the files of src/files/ know of each other. Nobody else includes this but their unit tests.
 *
 *   serve.c      the loop, and which request is whose
 *   reply.c      answers
 *   path.c       from a client's path to something that can be opened
 *   fence.c      the same, kept below the roots of a rule
 *   handle.c     open files and directories
 *   ops_data.c   open, read, write, close and what acts on a handle
 *   ops_stat.c   attributes, by name and by handle
 *   ops_names.c  names: made, removed, renamed, read
 *   ops_dir.c    directories
 *   ops_list.c   our own requests that read, …
 *   ops_put.c    … and those that write
 *   hash.c       SHA-256 of what passes by
 *   ops_more.c   OpenSSH's extensions that are not above, and check-file
 *   longname.c   a line as ls -l prints it
 *   users.c      names of users and groups
 *   note.c       records of what was done
 *
 * An operation answers exactly once. All paths are as the client sees them, which is as the process
 * does, since it was put into its root directory before. */
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
    FILES_STATUS_BYTES = 512,          /* a status or handle answer at most */
    FILES_NAME_BYTES = 2 * 4096 + 512, /* an answer of one name */
    FILES_DIR_BYTES = 65536            /* of a directory's entries in one answer */
};

/* For the lock of a partial file; a session that is away ends in far less. */
enum { FILES_LOCK_WAIT_MS = 2000 };

struct handle;

/* The names of the directory that list@afar was last asked about. */
struct listing {
    char *path; /* owned, as it was asked for; NULL: there is none */
    bool above; /* fence_is_above */
    struct buffer names;
    const char **at; /* owned; sorted; the names are the buffer's */
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
    bool greeted;     /* INIT has come */
    bool extended;    /* the client knows our private extensions */
    bool limited;     /* files may not grow for ever */
    bool failed;      /* no answer could be given: the session ends */
    int lock_wait_ms; /* how long it may still wait for locks of others, in all */
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
/* What errno `failed` means; 0: success. */
void reply_errno(const struct request *request, int failed);
/* A malformed request. */
void reply_bad(const struct request *request);
void reply_attrs(const struct request *request, const struct stat *info);
/* One name with no attributes worth anything, as realpath and readlink answer. */
void reply_name(const struct request *request, const char *name);

void attrs_of(const struct files *files, const struct stat *info, struct sftp_attrs *attrs);

/* An answer of any kind, with its id; at most so many bytes follow. */
void reply_begin(struct sftp_writer *writer, const struct request *request, enum sftp_type type,
                 size_t most_bytes);
void reply_end(struct sftp_writer *writer, const struct request *request);

/* ---- path.c ---------------------------------------------------------------------------------- */

/* A NUL-terminated path of the request. False: it has been answered. */
bool path_read(struct request *request, char path[SFTP_PATH_MAX_BYTES]);

/* Of a path that fits, as those of requests do. */
void path_copy(char out[SFTP_PATH_MAX_BYTES], const char *path);

/* Where an operation on a name acts: `name` below `dir`. */
struct place {
    int dir; /* AT_FDCWD, or a descriptor of its own */
    char name[SFTP_PATH_MAX_BYTES];
    char path[SFTP_PATH_MAX_BYTES]; /* as the client has it */
};

/* Opens what the path names. `writes`: to change it. The type of what is opened is the caller's to
 * check. -1: errno; EXDEV where the rule does not allow it. */
int path_open(const struct files *files, const char *path, int flags, mode_t mode, bool writes);

/* For a name that is to be made, removed or replaced. False: errno. */
bool path_place(const struct files *files, const char *path, struct place *place);
void place_close(struct place *place);

/* Attributes of what the path names; `follow`: of a link's target. 0 or an errno. */
int path_stat(const struct files *files, const char *path, bool follow, struct stat *info);

/* Of what fence_entry told of a directory, by its absolute path. 0 or an errno: it is not there. */
int path_stat_seen(const struct files *files, const char *folder, const char *name,
                   struct stat *info);

/* Makes an absolute path without ".", ".." and doubled slashes out of any, by its text and the
 * working directory. False: too long (ENAMETOOLONG), or there is no working directory. */
bool path_absolute(const char *path, char out[SFTP_PATH_MAX_BYTES]);

/* ---- fence.c --------------------------------------------------------------------------------- */

/* As the functions of path.c, for an absolute path and below the roots. */
int fence_open(const struct files *files, const char *path, int flags, mode_t mode, bool writes);
bool fence_place(const struct files *files, const char *path, struct place *place);

/* How many directories `dir`, in which the path's last component lies, is below the path's root. 0
 * also if that cannot be found out. */
size_t fence_depth(const struct files *files, const char *path, int dir);

/* True where the path is above a root but in none: a directory in which only the way to the roots
 * is seen. */
bool fence_is_above(const struct files *files, const char *path);

/* The name of the `at`-th entry of such a directory, or NULL: there are no more. Each once. */
const char *fence_entry(const struct files *files, const char *path, size_t at, char name[256]);

/* ---- handle.c -------------------------------------------------------------------------------- */

/* A file that is to have another name once it is whole. */
struct partial {
    int dir; /* owned; AT_FDCWD: none */
    char name[256];
    char target[256];
};

struct handle {
    uint64_t key; /* random; its lowest 16 bits are the place in the table */
    int fd;       /* a file's; -1: a directory's */
    DIR *dir;     /* NULL: a file, or what fence_is_above */
    char *path;   /* owned; as it was opened */
    size_t entry; /* of what fence_is_above: the next one */
    bool readable;
    bool writable;
    bool append;
    bool changes; /* the file was made, emptied or written */
    uint64_t read_bytes;
    uint64_t written_bytes;
    /* SHA-256 of what was read or written so far, as long as that was one after the other. */
    struct digest *digest; /* NULL: not kept */
    uint64_t digest_at;
    struct partial *partial; /* owned; NULL: it is none */
};

/* A new one for `fd` or `dir` (*moved*, also on failure). NULL: errno (EMFILE: too many). */
struct handle *handle_new(struct files *files, const char *path, int fd, DIR *dir);

/* The handle of the request; NULL: it has been answered. */
struct handle *handle_read(struct request *request);
/* The same for one of a file. */
struct handle *handle_read_file(struct request *request);

void reply_handle(const struct request *request, const struct handle *handle);

/* Closes it. 0, or an errno of close(2). */
int handle_close(struct files *files, struct handle *handle);
void handles_close(struct files *files);

/* ---- hash.c ---------------------------------------------------------------------------------- */

/* From now on what passes by is hashed, from offset 0 on, as long as it comes in order. */
void hash_begin(struct handle *handle);
void hash_passed(struct handle *handle, const void *data, size_t size, uint64_t offset);
/* The file changes from there on, other than by hash_passed. */
void hash_changed(struct handle *handle, uint64_t offset);
/* SHA-256 of what is in memory. False: out of that. */
bool hash_once(const void *data, size_t size, uint8_t hash[FILE_NOTE_HASH_BYTES]);
/* SHA-256 of the first `size` bytes: what has not passed by is read. 0 or an errno; ENODATA: there
 * are not so many. */
int hash_to(struct handle *handle, uint64_t size, uint8_t hash[FILE_NOTE_HASH_BYTES]);

/* ---- what operations share ------------------------------------------------------------------- */

/* As much as there is, up to `size`. -1: errno. */
ssize_t read_all(int fd, uint8_t *data, size_t size, uint64_t offset);

/* 0 or an errno. *written: also of what failed in the middle. */
int write_all(const struct handle *handle, const uint8_t *data, size_t size, uint64_t offset,
              size_t *written);

/* Opens a plain file. -1: it has been answered, errno says why. */
int open_file(struct request *request, const char *path, int flags, mode_t mode);

/* Renames; `new_only`: fails with EEXIST where the new name is there. 0 or an errno. */
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

/* Applies what is set in `attrs` to an open file (O_PATH will do, but for the size). 0 or an errno.
 * Modes are taken without setuid, setgid, and inside a fence without the sticky bit. */
int attrs_apply(const struct files *files, int fd, const struct sftp_attrs *attrs);
mode_t attrs_mode(const struct files *files, const struct sftp_attrs *attrs, mode_t otherwise);

/* ---- users.c --------------------------------------------------------------------------------- */

enum { USERS_NAME_BYTES = 256 };

/* "" where there is none. */
void users_user(const struct files *files, uint32_t uid, char name[USERS_NAME_BYTES]);
void users_group(const struct files *files, uint32_t gid, char name[USERS_NAME_BYTES]);

/* The home directory of a user by name. False: there is no such user, or it is too long. */
bool users_home(const struct files *files, const char *user, char home[SFTP_PATH_MAX_BYTES]);

/* ---- note.c ---------------------------------------------------------------------------------- */

/* Notes an operation, if the audit log wants it. A path may be relative; `to` may be NULL. */
void note_file(const struct files *files, const struct file_note *note);
/* The same in one call; errno stays. */
void note_op(const struct files *files, enum file_op op, const char *path, const char *to,
             int failed);

/* Tells what became of the lock of a partial file. */
void note_lock(const struct files *files, enum file_op op, const struct stat *info);

/* ---- longname.c ------------------------------------------------------------------------------ */

/* "-rw-r--r--    1 alice    users        1234 Nov 26 22:45 name", cut to `size`. `now`: the time,
 * which decides whether a year is shown. */
void longname_format(const struct stat *info, const char *name, int64_t now, char *line,
                     size_t size);

#endif
