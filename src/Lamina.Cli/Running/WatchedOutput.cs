using Lamina.Interop;
using Lamina.Machine.Backends;
using Lamina.Vmm.Serial;

namespace Lamina.Cli.Running;

/// <summary>An output whose failure (its reader has gone, the disk is full) ends the machine: a guest whose words are lost has nobody to work for.</summary>
internal sealed class WatchedOutput(DescriptorCharacterOutput inner) : ICharacterOutput
{
    private bool _told;

    /// <summary>Writing failed. Once, on the writer's thread.</summary>
    public event Action? Failed;

    /// <summary>Why writing failed, or null.</summary>
    public SystemCallException? Failure => inner.Failure;

    /// <inheritdoc/>
    public void Write(ReadOnlySpan<byte> data)
    {
        inner.Write(data);
        if (!_told && inner.Failure != null)
        {
            _told = true;
            Failed?.Invoke();
        }
    }
}
