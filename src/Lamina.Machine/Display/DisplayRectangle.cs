namespace Lamina.Machine.Display;

/// <summary>A part of a picture, in pixels. The right and the lower edge are not of it.</summary>
public readonly record struct DisplayRectangle(int Left, int Top, int Right, int Bottom)
{
    /// <summary>Whether there is nothing in it.</summary>
    public bool IsEmpty => Left >= Right || Top >= Bottom;

    /// <summary>What of it lies in a picture.</summary>
    public DisplayRectangle Clip(in DisplayMode mode) => new(Math.Clamp(Left, 0, mode.Width), Math.Clamp(Top, 0, mode.Height), Math.Clamp(Right, 0, mode.Width), Math.Clamp(Bottom, 0, mode.Height));

    /// <summary>The smallest that has both in it.</summary>
    public DisplayRectangle Join(DisplayRectangle other) =>
        IsEmpty ? other : other.IsEmpty ? this : new(Math.Min(Left, other.Left), Math.Min(Top, other.Top), Math.Max(Right, other.Right), Math.Max(Bottom, other.Bottom));
}
