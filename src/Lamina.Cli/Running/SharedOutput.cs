using Lamina.Machine.Backends;

namespace Lamina.Cli.Running;

/// <summary>Lets several devices write to one output, each write whole.</summary>
internal sealed class SharedOutput(ICharacterOutput inner) : ICharacterOutput
{
    private readonly Lock _lock = new();

    /// <inheritdoc/>
    public void Write(ReadOnlySpan<byte> data)
    {
        lock (_lock)
        {
            inner.Write(data);
        }
    }
}
