import Testing
import TraceSynth

@testable import KVMTrace

/// The text of a format file, before libtraceevent sees it.
@Suite("FormatSource")
struct FormatSourceTests {
  private static let text = KVMEventFormats.exit.text(kernelLongBytes: 8)

  private func source(_ text: String) -> FormatSource? {
    Array(text.utf8).withUnsafeBytes { FormatSource(system: "kvm", text: $0) }
  }

  @Test("fields and print format come apart")
  func apart() throws {
    let source = try #require(self.source(Self.text))
    #expect(
      source.fields.hasPrefix("name: kvm_exit\nID: 64\nformat:\n") && !source.fields.contains("print fmt"))
    #expect(source.printFormat.hasPrefix("\"%s: HSR_EC"))
    #expect(source.textWithoutPrintFormat.hasSuffix("\nprint fmt: \"\"\n"))
    #expect(source.textWithPrintFormat(fieldNames: ["ret", "esr_ec", "vcpu_pc"]) == Self.text)
    #expect(source.textWithPrintFormat(fieldNames: ["ret"]) == nil)
  }

  @Test(
    "declarations that kernels write",
    arguments: [
      "__data_loc char[] name", "char comm[16]", "char func[30+1]", "__u8 buf[32 + 2]", "struct page *page",
      "unsigned long args[6]", "void * p", "const struct cpumask *mask", "char file[TASK_COMM_LEN]",
    ])
  func declarations(declaration: String) {
    #expect(source(Self.text.replacing("unsigned int esr_ec", with: declaration)) != nil)
  }

  @Test(
    "damaged lines",
    arguments: [
      ("name: kvm_exit", "nane: kvm_exit"), ("name: kvm_exit", "name: kvm exit"), ("ID: 64", "ID: 99999"),
      ("ID: 64", "ID: x"), ("format:", "fornat:"), ("offset:8", "offset:-8"), ("offset:8", "offset:99999"),
      ("size:4", "size:4294967296"), ("signed:1", "signed:2"), ("field:int ret", "field:int"),
      ("field:int ret", "field:int ret["), ("field:int ret", "field:int ret)"),
      ("field:int ret", "field:int r;t"),
      ("field:int ret", "field:int r\u{1}t"), ("\tfield:int ret", "junk"),
      ("field:int ret", "field:char x+y"),
    ])
  func damaged(good: String, bad: String) {
    #expect(source(Self.text.replacing(good, with: bad)) == nil)
  }

  @Test("a text that ends early", arguments: [0, 5, 14, 20, 40])
  func cut(length: Int) {
    #expect(source(String(Self.text.prefix(length))) == nil)
  }
}
