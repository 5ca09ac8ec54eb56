using Lamina.Machine.Backends;

namespace Lamina.Vmm.Serial;

/// <summary>Drops everything.</summary>
public sealed class NullCharacterOutput : ICharacterOutput
{
    private NullCharacterOutput()
    {
    }

    /// <summary>The only one.</summary>
    public static NullCharacterOutput Instance { get; } = new();

    /// <inheritdoc/>
    public void Write(ReadOnlySpan<byte> data)
    {
    }
}
