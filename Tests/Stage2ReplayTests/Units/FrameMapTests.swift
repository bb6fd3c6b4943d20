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
