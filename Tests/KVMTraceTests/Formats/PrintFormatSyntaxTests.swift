import Testing

@testable import KVMTrace

/// What libtraceevent may be given, and what not.
@Suite("PrintFormatSyntax")
struct PrintFormatSyntaxTests {
  private static let fields: Set = ["a", "b", "name", "common_pid"]

  @Test(
    "print formats that kernels write",
    arguments: [
      #""""#, #"" ","#, #""text""#, #""%d", REC->a"#, #""a" "b %s", __get_str(name)"#,
      #""%#llx %-5d %016lx %%", REC->a, (REC->b), (u64)REC->a"#,
      #""%s", __print_symbolic(REC->a, {0, "IRQ" }, { (((0x16UL))), "HVC", })"#,
      #""%s", (REC->a) ? __print_flags(REC->a, "|", {(unsigned long)((1 << 3) | 2U), "X"}) : "none""#,
      #""%d,%d", ((unsigned int) ((REC->a) >> 20)), ((unsigned int) ((REC->a) & ((1U << 20) - 1)))"#,
      #""%s", __print_hex(__get_dynamic_array(name), __get_dynamic_array_len(name) / 4)"#,
      #""%s", __print_array(__get_dynamic_array(name), sizeof(REC->a) / sizeof(u8), 8)"#,
      #""%u", REC->a / 1000, REC->b % (8)"#, #""%pIScp", (struct sockaddr *)&REC->a"#,
      #""%c", REC->a == 'x' ? '\n' : -REC->b"#, #""%lu", (REC)->a << 32 | (REC)->b"#,
      #""%*pbl %.*s", 8, REC->name, 3, REC->name"#, "\"two\nlines\", REC->a",
      #""%s", REC->a < 0 ? (REC->a == -4 ? "restart" : "error") : "ok""#,
      #""%d", REC->a ? REC->b[1] : (REC->b[2])"#,
    ])
  func wellFormed(text: String) {
    #expect(PrintFormatSyntax.isWellFormed(text, fields: Self.fields))
  }

  @Test(
    "print formats that no kernel writes",
    arguments: [
      "", "text", #""open"#, #""%d", REC->c"#, #""%d", REC"#, #""%d", REC,>a"#, #""%d", REC->a,, REC->b"#,
      #""%d", __print_symbolic(REC->a%, { 0, "x" })"#, #""%d", __print_symbolic(REC-> REC->a, REC->b"#,
      #""%d", (REC->a"#, #""%d", REC->a)"#, #""%d", REC->a +"#, #""%d", REC->a ? 1"#, #""%d", {1, 2}"#,
      // libtraceevent would divide by 0.
      #""%d", REC->a / REC->b"#, #""%d", REC->a / 0"#, #""%d", REC->a % (8 - 8)"#, #""%d", 1 / (REC->a)"#,
      #""%d", REC->a / 0x0UL"#, #""%d", REC->a / -1"#,
      // It would take the conditional for what has the index.
      #""%d", REC->a ? 2 : REC->b[1]"#, #""%d", REC->a ? 2 : c->d"#, #""%d", REC->a ? 2 : (u8)REC->b[1]"#,
      #""%d", REC->a ? REC->b ? 1 : c.d : 3"#,
      // It would print for ever.
      #""%2000000000d", REC->a"#, #""%.99999999d", REC->a"#, #""%*d", REC->a, REC->b"#,
      "\"\u{1}\", REC->a", #""é", REC->a"#, #""%d", REC->a @ 1"#, #""%d", 0x"#, #""%d", 12abc"#,
    ])
  func malformed(text: String) {
    #expect(!PrintFormatSyntax.isWellFormed(text, fields: Self.fields))
  }

  @Test("depth and length are bounded")
  func bounds() {
    func nested(_ depth: Int) -> String {
      "\"%d\", " + String(repeating: "(", count: depth) + "1" + String(repeating: ")", count: depth)
    }
    #expect(PrintFormatSyntax.isWellFormed(nested(50), fields: []))
    #expect(!PrintFormatSyntax.isWellFormed(nested(20_000), fields: []))
    #expect(!PrintFormatSyntax.isWellFormed("\"\(String(repeating: "x", count: 1 << 17))\"", fields: []))
  }
}
