/// `ftrace:print`: what a program writes to `/sys/kernel/tracing/trace_marker`.
public enum MarkerFormat {
  /// The system of ftrace's own events, which trace.dat keeps apart.
  public static let system = "ftrace"

  /// The format, in which the text has no size: it fills the event.
  public static let print = EventFormat(
    system: system, name: "print", id: 5, fields: [EventField(.unsignedLong, "ip")],
    printFormat: #""%ps: %s", (void *)REC->ip, REC->buf"#, textOverride: text(id: 5))

  /// The format file of the event, whose number is another one in some kernels.
  public static func text(id: UInt16) -> String {
    """
    name: print
    ID: \(id)
    format:
    \tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;
    \tfield:unsigned char common_flags;\toffset:2;\tsize:1;\tsigned:0;
    \tfield:unsigned char common_preempt_count;\toffset:3;\tsize:1;\tsigned:0;
    \tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;

    \tfield:unsigned long ip;\toffset:8;\tsize:8;\tsigned:0;
    \tfield:char buf[];\toffset:16;\tsize:0;\tsigned:0;

    print fmt: "%ps: %s", (void *)REC->ip, REC->buf

    """
  }

  /// The data of a marker, in a kernel whose `long` has 8 bytes: the text with the newline and the zero that end it.
  public static func payload(_ text: String, pid: Int32, flavour: TraceFlavour) -> [UInt8] {
    print.payload([0xffff_8000_8123_4567], pid: pid, flavour: flavour) + Array(text.utf8) + [0x0a, 0]
  }
}
