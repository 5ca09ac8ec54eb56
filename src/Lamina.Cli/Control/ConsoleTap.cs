using Lamina.Machine.Backends;

namespace Lamina.Cli.Control;

/// <summary>A console's output, which <paramref name="hub"/> sees too.</summary>
internal sealed class ConsoleTap(ICharacterOutput inner, ConsoleHub hub) : ICharacterOutput
{
    /// <inheritdoc/>
    public void Write(ReadOnlySpan<byte> data)
    {
        hub.Write(data);
        inner.Write(data);
    }
}
