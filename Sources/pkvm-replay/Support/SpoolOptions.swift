import ArgumentParser

/// How much of a pipe may be copied, of every command that reads traces.
struct SpoolOptions: ParsableArguments {
  @Option(
    name: .customLong("spool-limit"),
    help: ArgumentHelp(
      """
      The most that is copied of an input that is a pipe, such as 20GiB: it is kept in TMPDIR while it is read. Without \
      this, half of what is free there.
      """, valueName: "size"),
    transform: MemorySize.parse)
  var limit: MemorySize?
}
