namespace Lamina.Virtio;

/// <summary>Device types (virtio 1.2, section 5).</summary>
public enum DeviceType
{
    /// <summary>Network card.</summary>
    Network = 1,

    /// <summary>Block device.</summary>
    Block = 2,

    /// <summary>Console.</summary>
    Console = 3,

    /// <summary>Entropy source.</summary>
    Entropy = 4,

    /// <summary>Memory balloon.</summary>
    Balloon = 5,

    /// <summary>Socket.</summary>
    Socket = 19,

    /// <summary>File system.</summary>
    FileSystem = 26,
}
