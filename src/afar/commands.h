/* The subcommands. Each gets its own name as argv[0] and returns the program's exit status.
 *
 * Owns nothing; one thread; blocks until done. */
#ifndef AFAR_COMMANDS_H
#define AFAR_COMMANDS_H

int run_main(int argc, char **argv);
int shell_main(int argc, char **argv);
int repl_main(int argc, char **argv);
int sftp_main(int argc, char **argv);
int cp_main(int argc, char **argv);
int ping_main(int argc, char **argv);
int echo_main(int argc, char **argv);
int keygen_main(int argc, char **argv);
int pin_main(int argc, char **argv);
int forget_main(int argc, char **argv);
int ssh_main(int argc, char **argv);
int config_main(int argc, char **argv);
int forward_main(int argc, char **argv);
int ps_main(int argc, char **argv);
int logs_main(int argc, char **argv);
int attach_main(int argc, char **argv);
int wait_main(int argc, char **argv);
int kill_main(int argc, char **argv);
int rm_main(int argc, char **argv);
int share_main(int argc, char **argv);

#endif
