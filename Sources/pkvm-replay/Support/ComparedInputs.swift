/// The recordings of the sides of a comparison: each once on its side, for what is the same says nothing of chance.
struct ComparedInputs {
  /// A recording, with its position on the command line.
  struct Input {
    let position: Int
    let path: String
  }

  /// The recordings of each side.
  private(set) var sides: [[Input]] = []
  /// What was left out, and what is on both sides, a sentence each.
  private(set) var notes: [String] = []

  init(_ paths: [[String]]) {
    var position = 0
    var ofAll = RepeatedInputs()
    for side in paths {
      var ofSide = RepeatedInputs()
      var inputs: [Input] = []
      for path in side {
        if let earlier = ofSide.earlier(path) {
          notes.append("\(path): counted once, for it is the same recording as \(earlier)")
        } else {
          inputs.append(Input(position: position, path: path))
          if let earlier = ofAll.earlier(path) {
            notes.append(
              "\(path) is the same recording as \(earlier) on the other side: no independent sample")
          }
        }
        position += 1
      }
      sides.append(inputs)
    }
  }
}
