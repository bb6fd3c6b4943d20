import Foundation
import SeededRandom
import Testing
import TraceSynth

@testable import KVMTrace

/// What a print format takes from an event is held against the event's data.
@Suite("Lengths in print formats")
struct PrintLengthsTests {
  /// An event with fields of every kind, at these offsets: len 8, size 12, fixed 16 (8 bytes), ints 24 (4 x 4), dyn 40,
  /// text 44, rel 48, name 52 (4 characters), data from 56 on.
  private static func format(_ print: String) -> String {
    """
    name: probe
    ID: 7
    format:
    \tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;
    \tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;

    \tfield:int len;\toffset:8;\tsize:4;\tsigned:1;
    \tfield:u32 size;\toffset:12;\tsize:4;\tsigned:0;
    \tfield:u8 fixed[8];\toffset:16;\tsize:8;\tsigned:0;
    \tfield:u32 ints[4];\toffset:24;\tsize:16;\tsigned:0;
    \tfield:__data_loc u8[] dyn;\toffset:40;\tsize:4;\tsigned:0;
    \tfield:__data_loc char[] text;\toffset:44;\tsize:4;\tsigned:0;
    \tfield:__rel_loc char[] rel;\toffset:48;\tsize:4;\tsigned:0;
    \tfield:char name[4];\toffset:52;\tsize:4;\tsigned:0;

    print fmt: \(print)

    """
  }

  private static func word(_ value: UInt32) -> [UInt8] {
    (0..<4).map { UInt8(truncatingIfNeeded: value >> ($0 * 8)) }
  }

  private static func payload(
    len: UInt32, size: UInt32, dyn: UInt32 = 4 << 16 | 56, text: UInt32 = 4 << 16 | 60,
    rel: UInt32 = 4 << 16 | 12
  ) -> [UInt8] {
    var bytes: [UInt8] = [7, 0, 0, 0, 1, 0, 0, 0]
    bytes += word(len) + word(size)
    bytes += (1...8).map { UInt8($0) }
    for value: UInt32 in 10...13 { bytes += word(value) }
    bytes += word(dyn) + word(text) + word(rel)
    bytes += Array("abcd".utf8)
    bytes += [0xa, 0xb, 0xc, 0xd]
    bytes += Array("one\0two\0".utf8)
    return bytes
  }

  private static func formats(_ text: String) -> EventFormats {
    Array(text.utf8).withUnsafeBytes {
      EventFormats([(system: "test", format: $0)], bigEndian: false, kernelLongSize: 8)
    }
  }

  private static func text(_ print: String, _ payload: [UInt8]) -> String {
    payload.withUnsafeBytes { formats(format(print)).text(of: $0, time: 0, cpu: 0) }
  }

  @Test(
    "A length that fits is printed as the kernel prints it",
    arguments: [
      (#""%s", __print_hex(REC->fixed, REC->len)"#, "01 02"),
      (#""%s", __print_hex_str(REC->fixed, REC->len + 1)"#, "010203"),
      (#""%s", __print_hex(__get_dynamic_array(dyn), __get_dynamic_array_len(dyn))"#, "0a 0b 0c 0d"),
      (#""%s", __print_hex(__get_dynamic_array(dyn), REC->len > 1 ? 3 : 1)"#, "0a 0b 0c"),
      (#""%s", __print_array(REC->ints, REC->len, REC->size)"#, "10 11"),
      (#""%s|%s", __get_str(text), __get_rel_str(rel)"#, "one|two"), (#""%s", REC->name"#, "abcd"),
      (#""%u", REC->ints[3]"#, "13"),
    ])
  func fits(print: String, expected: String) {
    #expect(Self.text(print, Self.payload(len: 2, size: 4)) == expected)
  }

  @Test(
    "A length beyond the array is cut, and the line says so",
    arguments: [
      (#""%s", __print_hex(REC->fixed, REC->len)"#, 8), (#""%s", __print_hex_str(REC->fixed, REC->len)"#, 8),
      (#""%s", __print_hex(__get_dynamic_array(dyn), REC->len)"#, 4),
      (#""%s", __print_array(REC->ints, REC->len, 4)"#, 4),
      (#""%s", __print_array(REC->ints, REC->len, 8)"#, 2),
      (#""%s", __print_array(REC->ints, REC->len * 1, 1)"#, 16),
    ],
    [9 as UInt32, 17, 0x40_0000, 0x1000_0000, 0x7fff_ffff])
  func cut(format: (String, Int), length: UInt32) throws {
    guard length > 16 || format.1 < 9 else { return }
    let text = Self.text(format.0, Self.payload(len: length, size: 4))
    #expect(text.hasSuffix("[a length of \(length) is cut to \(format.1), the end of its array]"))
    #expect(text.utf8.count < 200)
  }

  @Test(
    "What cannot be bounded is printed as fields",
    arguments: [
      // Element sizes that are none, or overflow.
      (#""%s", __print_array(REC->ints, REC->len, REC->size)"#, payload(len: 2, size: 0)),
      (#""%s", __print_array(REC->ints, REC->len, REC->size)"#, payload(len: 2, size: 0x8000_0000)),
      // Locations outside the record.
      (#""%s", __get_str(text)"#, payload(len: 0, size: 0, text: 0xffff_ffff)),
      (#""%s", __get_str(text)"#, payload(len: 0, size: 0, text: 4 << 16 | 200)),
      (#""%s", __get_rel_str(rel)"#, payload(len: 0, size: 0, rel: 0xffff << 16)),
      (#""%s", __get_bitmask(dyn)"#, payload(len: 0, size: 0, dyn: 0xfff8_0008)),
      (#""%s", __print_hex(__get_dynamic_array(dyn), 4)"#, payload(len: 0, size: 0, dyn: 64 << 16 | 56)),
      // A text without an end.
      (#""%s", __get_str(text)"#, payload(len: 0, size: 0, text: 2 << 16 | 60)),
      // An index outside its array, and one that is negative.
      (#""%u", REC->ints[REC->len]"#, payload(len: 4, size: 0)),
      (#""%u", REC->ints[REC->len]"#, payload(len: 0xffff_ffff, size: 0)),
      // No array at all.
      (#""%s", __print_hex((u8 *)REC->fixed, REC->len)"#, payload(len: 4, size: 0)),
      // A helper that libtraceevent does not know.
      (#""%s", jbd2_dev_to_name(REC->len)"#, payload(len: 4, size: 0)),
      (#""%d", le16_to_cpup(REC->len)"#, payload(len: 4, size: 0)),
      // A record that ends before its fields.
      (#""%d", REC->len"#, Array(payload(len: 4, size: 0).prefix(40))),
    ])
  func fields(print: String, payload: [UInt8]) {
    let text = Self.text(print, payload)
    #expect(text.hasPrefix("len=") && !text.contains("FAILED"), "\(print): \(text)")
  }

  @Test("KVM's register sets: the count of an array is the event's own")
  func regset() {
    let format = """
      name: kvm_arm_set_regset
      ID: 54
      format:
      \tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;
      \tfield:unsigned long common_padding;\toffset:8;\tsize:8;\tsigned:0;

      \tfield:int len;\toffset:16;\tsize:4;\tsigned:1;
      \tfield:u64 ctrls[16];\toffset:24;\tsize:128;\tsigned:0;
      \tfield:u64 values[16];\toffset:152;\tsize:128;\tsigned:0;

      print fmt: "%d CTRL:%s VALUE:%s", REC->len, __print_array(REC->ctrls, REC->len, 8), __print_array(REC->values, REC->len, 8)

      """
    let formats = Self.formats(format)
    for (length, cuts) in [(4, 0), (16, 0), (17, 2), (1 << 24, 2), (Int(Int32.max), 2)] {
      var payload = [UInt8](repeating: 0, count: 280)
      payload[0] = 54
      payload.replaceSubrange(16..<20, with: Self.word(UInt32(length)))
      let text = payload.withUnsafeBytes { formats.text(of: $0, time: 0, cpu: 0) }
      #expect(text.hasPrefix("\(length) CTRL:"))
      #expect(text.components(separatedBy: "is cut to 16").count - 1 == cuts)
      #expect(text.utf8.count < 1500)
    }
  }

  @Test("Arbitrary values in every field never lead out of the record", arguments: [false, true])
  func arbitrary(bigEndian: Bool) {
    var random = SplitMix64(seed: 12)
    let prints = [
      #""%s %s", __print_hex(REC->fixed, REC->len), __print_array(REC->ints, REC->size, 4)"#,
      #""%s %s %s", __get_str(text), __get_rel_str(rel), __get_bitmask(dyn)"#,
      #""%.*s %*pbl %*ph", REC->len, __get_str(text), REC->size, __get_dynamic_array(dyn), 8, REC->fixed"#,
      #""%u %s", REC->ints[REC->len], __print_hex_str(__get_dynamic_array(dyn), REC->len << 3)"#,
      #""%pI4 %pM %pU %s", REC->fixed, REC->fixed, REC->ints, __get_cpumask(dyn)"#,
      #""%s %pISpc", __get_sockaddr(dyn), REC->ints"#,
      #""%s", __print_array(__get_rel_dynamic_array(rel), __get_rel_dynamic_array_len(rel) / 2, REC->size)"#,
    ]
    for print in prints {
      let formats = Array(Self.format(print).utf8).withUnsafeBytes {
        EventFormats([(system: "test", format: $0)], bigEndian: bigEndian, kernelLongSize: 8)
      }
      for _ in 0..<200 {
        var payload = (0..<(8 + Int(random.below(100 as UInt64)))).map { _ in
          UInt8(truncatingIfNeeded: random.next())
        }
        payload.replaceSubrange(0..<2, with: bigEndian ? [0, 7] : [7, 0])
        let text = payload.withUnsafeBytes { formats.text(of: $0, time: 0, cpu: 0) }
        // Every byte of the record in hexadecimal and decimal, the names of the fields, and the notes.
        #expect(text.utf8.count < 4096)
      }
    }
  }
}
