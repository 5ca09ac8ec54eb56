using Lamina.Interop.Processes;
using Lamina.Machine.Backends;

namespace Lamina.Vmm.Devices;

/// <summary>The host's random numbers.</summary>
internal sealed class HostEntropy : IEntropySource
{
    /// <inheritdoc/>
    public void Fill(Span<byte> destination) => HostRandom.Fill(destination);
}
