namespace Lamina.Vmm;

/// <summary>A machine's screen, with the keyboard and the mouse that come with it, as its personality has them.</summary>
public sealed record ScreenSettings
{
    /// <summary>Smallest width and height.</summary>
    public const int MinimumWidth = 640, MinimumHeight = 480;

    /// <summary>Most pixels: four bytes each are as much memory as guests find in one piece.</summary>
    public const int MaximumPixels = 1 << 20;

    /// <summary>Pixels of a line: a multiple of 8.</summary>
    public int Width { get; init; } = 1024;

    /// <summary>Lines.</summary>
    public int Height { get; init; } = 768;

    /// <summary>Whether a guest can have it.</summary>
    public bool IsValid => Width >= MinimumWidth && Height >= MinimumHeight && Width % 8 == 0 && (long)Width * Height <= MaximumPixels;
}
