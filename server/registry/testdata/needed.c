/* A library that a plugin needs, and that the tests then take away. */
int needed(void);
int needed(void) { return 1; }
