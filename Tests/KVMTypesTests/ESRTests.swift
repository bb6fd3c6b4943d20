import KVMTypes
import Testing

/// Syndromes that were recorded on real hosts, and the rules of `kvm_is_write_fault` and its like.
@Suite("ESR")
struct ESRTests {
  /// What a syndrome says.
  struct Example: Sendable {
    var esr: UInt64
    var kind: FaultKind
    var level: Int8
    var isExec = false
    var isWrite = false
    var bytes: Int?
  }

  static let examples = [
    Example(esr: 0x8200_0004, kind: .translation, level: 0, isExec: true),
    Example(esr: 0x8200_0005, kind: .translation, level: 1, isExec: true),
    Example(esr: 0x8200_000f, kind: .permission, level: 3, isExec: true),
    Example(esr: 0x93c0_8007, kind: .translation, level: 3, bytes: 8),
    Example(esr: 0x93c1_8047, kind: .translation, level: 3, isWrite: true, bytes: 8),
    Example(esr: 0x93c1_804f, kind: .permission, level: 3, isWrite: true, bytes: 8),
    Example(esr: 0x93c1_804e, kind: .permission, level: 2, isWrite: true, bytes: 8),
    Example(esr: 0x93c1_804a, kind: .accessFlag, level: 2, isWrite: true, bytes: 8),
    Example(esr: 0x93c0_8045, kind: .translation, level: 1, isWrite: true, bytes: 8),
  ]

  @Test("recorded syndromes", arguments: examples)
  func recorded(example: Example) {
    let esr = ESR(example.esr)
    #expect(esr.faultKind == example.kind && esr.level == TranslationLevel(example.level))
    #expect(esr.isExec == example.isExec && esr.isWrite == example.isWrite)
    #expect(esr.isInstructionAbort == example.isExec && esr.isDataAbort == !example.isExec)
    #expect(esr.accessBytes == example.bytes && esr.syndromeValid == (example.bytes != nil))
    #expect(esr.instructionLength32 && !esr.isStage1Walk)
  }

  @Test("what newer CPUs add above the syndrome changes nothing", arguments: examples)
  func iss2(example: Example) {
    let esr = ESR(example.esr | 0x00ff_ffff_0000_0000)
    #expect(esr.faultKind == example.kind && esr.level == TranslationLevel(example.level))
    #expect(esr.isExec == example.isExec && esr.isWrite == example.isWrite)
    #expect(esr.exceptionClass == ESR(example.esr).exceptionClass)
  }

  /// Exception class, status code, and the bits S1PTW and WnR.
  private func esr(_ exceptionClass: UInt64, _ status: UInt64, walk: Bool = false, write: Bool = false) -> ESR
  {
    ESR(exceptionClass << 26 | 1 << 25 | (walk ? 1 << 7 : 0) | (write ? 1 << 6 : 0) | status)
  }

  @Test("a fault of a stage-1 walk is a write if it is a permission fault, whatever else it says")
  func stage1Walk() {
    for exceptionClass in [0x20, 0x24] as [UInt64] {
      for write in [false, true] {
        #expect(esr(exceptionClass, 0x0f, walk: true, write: write).isWrite)
        #expect(!esr(exceptionClass, 0x07, walk: true, write: write).isWrite)
        #expect(!esr(exceptionClass, 0x0b, walk: true, write: write).isWrite)
        #expect(!esr(exceptionClass, 0x0f, walk: true, write: write).isExec)
      }
    }
  }

  @Test("a fetch is never a write")
  func fetch() {
    #expect(!esr(0x20, 0x07, write: true).isWrite && esr(0x20, 0x07, write: true).isExec)
    #expect(esr(0x24, 0x07, write: true).isWrite && !esr(0x24, 0x07).isExec)
    #expect(esr(0x24, 0x07, write: true).writeNotRead)
  }

  @Test("cache maintenance counts as a write, as WnR says")
  func cacheMaintenance() {
    let esr = ESR(0x9200_0147)
    #expect(esr.isCacheMaintenance && esr.isWrite)
  }

  @Test("every status code has the kind and level of the architecture", arguments: 0..<64 as Range<UInt64>)
  func status(code: UInt64) {
    let (kind, level): (FaultKind, Int8?) =
      switch code {
      case 0x00...0x03: (.addressSize, Int8(code))
      case 0x04...0x07: (.translation, Int8(code - 4))
      case 0x08...0x0b: (.accessFlag, Int8(code - 8))
      case 0x0c...0x0f: (.permission, Int8(code - 12))
      case 0x29: (.addressSize, -1)
      case 0x2b: (.translation, -1)
      case 0x10, 0x13...0x18, 0x1b...0x1f: (.externalAbort, nil)
      case 0x35: (.exclusiveOrAtomic, nil)
      default: (.other, nil)
      }
    #expect(esr(0x24, code).faultKind == kind && esr(0x24, code).level?.rawValue == level)
    #expect(esr(0x24, code).faultStatusCode == UInt8(code))
  }

  @Test("access sizes", arguments: zip(0..<4 as Range<UInt64>, [1, 2, 4, 8]))
  func sizes(field: UInt64, bytes: Int) {
    #expect(ESR(0x24 << 26 | 1 << 24 | field << 22 | 7).accessBytes == bytes)
    #expect(ESR(0x24 << 26 | field << 22 | 7).accessBytes == nil)
  }
}
