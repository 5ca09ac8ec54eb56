using Lamina.Machine.Backends;

namespace Lamina.Vmm;

/// <summary>A named port (virtio-serial) between a guest and its host: a channel of bytes.</summary>
public sealed record PortSettings
{
    /// <summary>The name by which programs in the guest find it: 1 to 64 bytes, such as "org.example.agent".</summary>
    public required string Name { get; init; }

    /// <summary>Where the guest's bytes go. Not disposed by the machine.</summary>
    public required ICharacterOutput Output { get; init; }
}
