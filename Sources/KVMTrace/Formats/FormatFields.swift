/// The fields of an event: those that all events have, and its own. Behind each of the two stands an empty line.
struct FormatFields {
  private(set) var common: [EventFormat.Field] = []
  private(set) var own: [EventFormat.Field] = []
  private var ends = 0
  private var isMisplaced = false

  /// Whether the text has the form that kernels write.
  var isComplete: Bool { ends == 2 && !isMisplaced }

  init() {}

  init(common: [EventFormat.Field], own: [EventFormat.Field]) {
    (self.common, self.own, ends) = (common, own, 2)
  }

  mutating func append(_ field: EventFormat.Field) {
    switch ends {
    case 0: common.append(field)
    case 1: own.append(field)
    default: isMisplaced = true
    }
  }

  /// An empty line.
  mutating func endPart() { ends += 1 }
}
