using Lamina.Virtio.Tests.Fakes;

namespace Lamina.Virtio.Tests.Transport;

/// <summary>The suite on the PCI transport.</summary>
public sealed class PciConformanceTests : TransportConformanceTests
{
    private protected override ITestTransport Connect(VirtioDevice device) => new TestBus(device);
}
