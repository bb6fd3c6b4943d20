import KVMTypes
import Testing

@Suite("Rights of a stage-2 mapping")
struct Stage2ProtTests {
  static let cases: [(bits: UInt64, prot: Stage2Prot)] = [
    (4, .read), (6, .rw), (7, .rwx), (5, [.read, .execute]), (8, .device), (16, .normalNonCacheable),
    (6 | 1 << 55, [.rw, .software0]),
  ]

  @Test("Kernels before 6.19 numbered the rights otherwise", arguments: cases)
  func early(bits: UInt64, prot: Stage2Prot) {
    #expect(Stage2Prot(beforeXNX: Stage2Prot(rawValue: bits)) == prot)
  }
}
