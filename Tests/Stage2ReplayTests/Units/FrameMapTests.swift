import SeededRandom
import Testing

@testable import Stage2Replay

@Suite("Values by frame")
struct FrameMapTests {
  @Test("It holds what a dictionary does, whatever is put in and taken out", arguments: [UInt64(64), 4096])
  func likeDictionary(keys: UInt64) {
    var random = SplitMix64(seed: 5)
    var map = FrameMap(filler: Int32(0))
    var dictionary: [UInt64: Int32] = [:]
    for step in 0..<Int32(20_000) {
      let key = random.next() % keys << 9
      if random.next() % 5 < 2 {
        map.remove(key)
        dictionary[key] = nil
      } else {
        let earlier = map.updateValue(step, forKey: key)
        #expect(earlier == dictionary.updateValue(step, forKey: key))
      }
    }
    #expect(map.count == dictionary.count)
    for key in 0..<keys { #expect(map[key << 9] == dictionary[key << 9]) }
    var found: [UInt64] = []
    map.forEachKey { found.append($0) }
    #expect(found.sorted() == dictionary.keys.sorted())
    for range in [0...5 << 9, 3 << 9...keys << 9, 7...7] as [ClosedRange<UInt64>] {
      let inRange = map.keys(in: range)
      #expect(inRange.sorted() == dictionary.keys.filter(range.contains).sorted())
    }
  }

  @Test("A value changes in its slot")
  func slots() {
    var map = FrameMap(filler: Int32(0))
    _ = map.updateValue(1, forKey: 7)
    guard let slot = map.slot(of: 7) else {
      Issue.record("what was put in is not there")
      return
    }
    map[slot: slot] = 2
    #expect(map[7] == 2)
    map.remove(at: slot)
    #expect(map[7] == nil && map.count == 0)
  }
}

@Suite("Regions by block")
struct RegionIndicesTests {
  @Test("Each block is the region that it was made, and the blocks around it are none")
  func blocks() {
    var indices = RegionIndices()
    let blocks: [UInt64] = [0, 63, 64, 200, 1 << 31, (1 << 40) - 1]
    for (number, block) in blocks.enumerated() { indices.insert(RegionIndex(number), at: block) }
    let found = blocks.map { indices[$0] }
    #expect(found == blocks.indices.map { RegionIndex($0) })
    let others = [1, 62, 65, 199, 201, (1 << 31) - 1, (1 << 40) - 2].map { indices[UInt64($0)] }
    #expect(others.allSatisfy { $0 == nil })
  }
}
