namespace Lamina.Machine.Display;

/// <summary>What a guest shows, whichever way it shows it. Any thread; the guest may draw at the same time.</summary>
public interface IDisplay
{
    /// <summary>How the picture is now.</summary>
    /// <returns><c>false</c> if the guest shows none.</returns>
    bool TryGetMode(out DisplayMode mode);

    /// <summary>Copies the pixels of a line.</summary>
    /// <param name="mode">The mode for which they are wanted.</param>
    /// <param name="line">From the upper one (0).</param>
    /// <param name="pixels">Where to: as many bytes as a line of that mode has.</param>
    /// <returns><c>false</c> if the guest shows another mode now, or none.</returns>
    bool TryReadLine(in DisplayMode mode, int line, Span<byte> pixels);

    /// <summary>Takes the part of the picture that the guest says to have changed since the last call; all of it when the mode has changed.</summary>
    /// <returns><c>false</c> if nothing has.</returns>
    bool TryTakeChanged(out DisplayRectangle changed);
}
