import KVMTypes
import Stage2Model

/// Pages of a guest that are mapped one by one, in the order of their faults.
struct Population {
  /// What a reader calls it.
  let name: String
  /// The addresses, none twice.
  let pages: [IPA]
  /// The same in another order, that of look-ups and removals.
  let shuffled: [IPA]

  private init(_ name: String, _ frames: [UInt64]) {
    self.name = name
    pages = frames.map { IPA($0 << 12) }
    var random = Generator(state: 11)
    shuffled = pages.shuffled(using: &random)
  }

  /// `count` random pages of a guest of `gibibytes`.
  private static func random(_ name: String, _ count: Int, gibibytes: UInt64) -> Population {
    var random = Generator(state: 5)
    var seen: Set<UInt64> = []
    var frames: [UInt64] = []
    while frames.count < count {
      let frame = random.next(upperBound: gibibytes << 18)
      if seen.insert(frame).inserted { frames.append(frame) }
    }
    return Population(name, frames)
  }

  /// Memory that is filled, and memory of which hardly anything is touched.
  static func all() -> [Population] {
    [
      Population("all of 2 GiB, in order", Array(0..<2 << 18)),
      random("one page in 4 of 4 GiB", 262_144, gibibytes: 4),
      random("one page in 35 of 4 GiB", 30_000, gibibytes: 4),
      random("97,000 pages in 64 GiB", 97_000, gibibytes: 64),
    ]
  }
}

extension Stage2Backend where Self: ~Copyable {
  /// Maps a page as a fault does.
  @inline(__always)
  mutating func fault(_ page: IPA, pfn: PFN? = nil) {
    topUpMemcache(vcpu: VCPUIndex(0), pages: 3)
    let result = map(page, size: 4096, pfn: pfn, prot: .rwx, vcpu: VCPUIndex(0))
    precondition(result.isSuccess, "a page was mapped already")
  }
}
