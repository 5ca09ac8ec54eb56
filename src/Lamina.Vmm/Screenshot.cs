namespace Lamina.Vmm;

/// <summary>What a guest showed at a moment.</summary>
/// <param name="Width">Pixels of a line.</param>
/// <param name="Height">Lines.</param>
/// <param name="Pixels">Red, green and blue of each pixel, line by line from the upper left corner, a byte each.</param>
public sealed record Screenshot(int Width, int Height, ReadOnlyMemory<byte> Pixels);
