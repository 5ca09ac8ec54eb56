namespace Lamina.Machine.Display;

/// <summary>How a picture lies in memory.</summary>
/// <param name="Width">Pixels of a line.</param>
/// <param name="Height">Lines.</param>
/// <param name="Stride">Bytes from one line to the next.</param>
/// <param name="Format">What a pixel is.</param>
public readonly record struct DisplayMode(int Width, int Height, int Stride, PixelFormat Format)
{
    /// <summary>Most pixels of a line, and most lines.</summary>
    public const int MaximumLength = 4096;

    /// <summary>Bytes of a pixel.</summary>
    public int BytesPerPixel => Format == PixelFormat.Rgb32 ? 4 : 2;

    /// <summary>Bytes of a line's pixels.</summary>
    public int LineLength => Width * BytesPerPixel;

    /// <summary>Bytes from the first pixel to the last, of a mode that is valid.</summary>
    public ulong Length => ((ulong)(Height - 1) * (ulong)Stride) + (ulong)LineLength;

    /// <summary>Whether a picture can be like this.</summary>
    public bool IsValid => Width is > 0 and <= MaximumLength && Height is > 0 and <= MaximumLength && Stride >= LineLength && Stride <= 8 * MaximumLength;
}
