namespace Lamina.Virtio.Queue;

/// <summary>What came of asking a queue for its next buffer.</summary>
internal enum PopResult
{
    /// <summary>The driver has made none available.</summary>
    Empty,

    /// <summary>Here it is.</summary>
    Chain,

    /// <summary>The ring, or a descriptor, is not what a driver may write. The device needs a reset.</summary>
    Broken,
}
