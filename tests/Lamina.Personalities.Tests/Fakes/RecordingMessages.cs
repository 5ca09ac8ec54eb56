using Lamina.Machine.Interrupts;

namespace Lamina.Personalities.Tests.Fakes;

/// <summary>Keeps the messages that were sent.</summary>
internal sealed class RecordingMessages : IMessageInterruptSink
{
    public List<(ulong Address, uint Data)> Sent { get; } = [];

    public void Send(ulong address, uint data) => Sent.Add((address, data));
}
