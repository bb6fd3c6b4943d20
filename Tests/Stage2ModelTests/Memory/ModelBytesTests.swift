import KVMTypes
import SeededRandom
import Stage2Model
import Testing

/// What the model itself takes, beside what it models.
struct ModelBytesTests {
  /// Every page of 64 MiB, and three pages of each 2 MiB of 16 GiB: a kernel's tables take 8 and 1,300 bytes for a
  /// mapping there.
  @Test(arguments: [false, true])
  func aMappingTakesFewBytes(isSparse: Bool) throws {
    var random = SplitMix64(seed: 3)
    let frames =
      isSparse
      ? Set((0..<24_000).map { _ in random.below(16 << 18 as UInt64) }) : Set(0..<64 << 8 as Range<UInt64>)
    func map<Backend: Stage2Backend & ~Copyable>(_ backend: inout Backend) {
      for frame in frames {
        backend.topUpMemcache(vcpu: VCPUIndex(0), pages: 3)
        check(backend.map(IPA(frame << 12), size: 4096, pfn: nil, prot: .rwx, vcpu: VCPUIndex(0)), .success)
      }
    }
    let geometry = try Stage2Geometry(pageSize: .size4K, ipaBits: 40)
    var traditional = TraditionalStage2(geometry: geometry)
    map(&traditional)
    var configuration = PKVMConfiguration(geometry: geometry)
    configuration.keepsMappingTree = false
    var pkvm = PKVMStage2(configuration)
    map(&pkvm)
    for bytes in [traditional.modelBytes, pkvm.modelBytes] {
      #expect(bytes.tables < (isSparse ? 20 : 7) * frames.count)
      #expect(bytes.mappingTree == 0 && bytes.hypPages == 0)
      #expect(bytes.total - bytes.tables < 4096)
    }
    // The memory that is modelled is the kernel's.
    #expect(traditional.memory.tables.live > frames.count / 520)
    if isSparse { #expect(traditional.memory.tables.live << 12 > 1000 * frames.count) }
  }
}
