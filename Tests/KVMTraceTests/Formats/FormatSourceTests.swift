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
    let fields = String(decoding: source.fields, as: UTF8.self)
    #expect(fields.hasPrefix("name: kvm_exit\nID: 64\nformat:\n") && !fields.contains("print fmt"))
    #expect(source.printFormat.hasPrefix("\"%s: HSR_EC"))
    #expect(source.textWithoutPrintFormat == Array((fields + "print fmt: \"\"\n").utf8))
    #expect(source.textWithPrintFormat(fieldNames: ["ret", "esr_ec", "vcpu_pc"]) == Self.text)
    #expect(source.textWithPrintFormat(fieldNames: ["ret"]) == nil)
  }

  @Test("a pointer is known for one, whoever reads the declaration")
  func pointers() throws {
    let pointer = Self.text.replacing("unsigned long vcpu_pc", with: "const char * vcpu_pc")
    for (text, isPointer) in [(Self.text, false), (pointer, true)] {
      let source = try #require(self.source(text))
      #expect(source.scalars?.own.first { $0.name == "vcpu_pc" }?.isPointer == isPointer)
      let bytes = Array(text.utf8)
      let fields = bytes.withUnsafeBytes {
        EventFormats([("kvm", $0)], bigEndian: false, kernelLongSize: 8).formats.flatMap { Array($0.fields) }
      }
      #expect(fields.first { $0.name == "vcpu_pc" }?.isPointer == isPointer)
    }
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
    "declarations that kernels write, and what libtraceevent is given",
    arguments: [
      ("const char __attribute__((btf_type_tag(\"user\"))) * path", 8, "void * path"),
      ("u32 cpus[((4) > 2 ? 4 : 2)]", 16, "u32 cpus[4]"),
      ("unsigned long x[1 << 2 | 1]", 40, "struct opaque x[1]"),
      ("u64 x[2][(4 > 2) ? 3 : 1]", 48, "u64 x[6]"),
      ("char comm[16 > 8 ? 16 : 8]", 16, "char comm[16]"),
      ("unsigned int flag : 3", 4, "unsigned int flag"), ("unsigned int flag:3", 4, "unsigned int flag"),
      ("void (*function)(struct work_struct *work)", 8, "void * function"),
      ("int (*handlers[2])(void)", 16, "void * handlers"),
      ("struct { int a; int b; } pair", 8, "struct opaque pair"),
      ("union { u8 b[4]; u32 w; } x[2]", 8, "struct opaque x[1]"),
      ("__typeof__(((struct x *)0)->y) y", 4, "struct opaque y"),
      ("__data_loc __attribute__((btf_type_tag(\"user\"))) char[] name", 4, "__data_loc char[] name"),
      ("__rel_loc char[(1 > 0) ? 1 : 2] name", 4, "__rel_loc char[] name"),
      ("enum { A, B } state", 4, "enum state"), ("int x __attribute__((aligned(8)))", 4, "int x"),
      ("__data_loc char[] name", 4, "__data_loc char[] name"),
    ])
  func plain(declaration: String, bytes: Int, plain: String) {
    #expect(FieldDeclaration.plain(declaration[...], bytes: bytes) == plain)
  }

  @Test(
    "lines that say nothing of a field cost the fields",
    arguments: [
      ("format:", "fornat:"), ("offset:8", "offset:-8"), ("offset:8", "offset:99999"),
      ("size:4", "size:4294967296"), ("signed:1", "signed:2"), ("field:int ret", "field:int"),
      ("field:int ret", "field:int ret["), ("field:int ret", "field:int ret)"),
      ("field:int ret", "field:int r\u{1}t"), ("\tfield:int ret", "junk"), ("field:int ret", "field:int é"),
      ("field:int ret", "field:int 7"), ("field:int ret", "field:int \(String(repeating: "(", count: 9999))"),
    ])
  func unreadable(good: String, bad: String) throws {
    let source = try #require(self.source(Self.text.replacing(good, with: bad)))
    #expect(source.name == "kvm_exit" && source.id == KVMEventFormats.exit.id && !source.areFieldsReadable)
  }

  @Test(
    "a text that does not say which event it is of",
    arguments: [
      ("name: kvm_exit", "nane: kvm_exit"), ("name: kvm_exit", "name: kvm exit"), ("ID: 64", "ID: 99999"),
      ("ID: 64", "ID: x"),
    ])
  func damaged(good: String, bad: String) {
    #expect(source(Self.text.replacing(good, with: bad)) == nil)
  }

  @Test("a text that ends early", arguments: [0, 5, 14])
  func cut(length: Int) {
    #expect(source(String(Self.text.prefix(length))) == nil)
  }

  @Test("fields that are numbers are what libtraceevent makes of them")
  func scalars() throws {
    let file = try FileBytes(path: Recordings.path("pkvm-nvhe-7.3.4-plain-guest.dat"))
    let parser = FormatParser(bigEndian: false, kernelLongSize: 8)
    var count = 0
    for format in try TraceDatOpener.open(file).formats {
      let source = try #require(FormatSource(system: format.system, text: format.text))
      guard let scalars = source.scalars else { continue }
      let parsed = try #require(parser.fields(of: source))
      #expect(scalars.common == parsed.common && scalars.own == parsed.own, "\(source.name)")
      count += 1
    }
    #expect(count > 10)
  }

  @Test(
    "what else there is in a field, libtraceevent has to say",
    arguments: [
      ("field:int ret", "field:char ret[4]"), ("field:int ret", "field:__data_loc char[] ret"),
      ("offset:8", "offset:010"), ("format:\n", "format:\n\n"),
    ])
  func others(good: String, bad: String) throws {
    #expect(try #require(source(Self.text)).scalars != nil)
    #expect(try #require(source(Self.text.replacing(good, with: bad))).scalars == nil)
  }
}
