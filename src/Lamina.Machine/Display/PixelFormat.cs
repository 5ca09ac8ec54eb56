namespace Lamina.Machine.Display;

/// <summary>What a pixel in memory is; little-endian.</summary>
public enum PixelFormat
{
    /// <summary>32 bits: blue, green, red from the lowest byte, and one byte that says nothing.</summary>
    Rgb32,

    /// <summary>16 bits: five of blue from the lowest, six of green, five of red.</summary>
    Rgb16,
}
