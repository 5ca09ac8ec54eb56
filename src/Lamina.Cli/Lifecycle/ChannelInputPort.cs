using Lamina.Cli.Running;
using Lamina.Management.Protocol;

namespace Lamina.Cli.Lifecycle;

/// <summary>An attached console as a place to type into. The machine takes its time by not reading.</summary>
internal sealed class ChannelInputPort(ControlChannel channel) : IInputPort
{
    /// <inheritdoc/>
    public bool IsDrained => true;

    /// <inheritdoc/>
    public void Write(ReadOnlySpan<byte> data) => channel.TryWrite(data);
}
