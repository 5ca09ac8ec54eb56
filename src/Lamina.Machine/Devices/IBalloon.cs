namespace Lamina.Machine.Devices;

/// <summary>What has a guest give memory back to its host, whatever the protocol. Any thread.</summary>
public interface IBalloon
{
    /// <summary>Bytes that the guest is to give back, in whole pages of 4 KiB; never more than its RAM. A guest without a driver, or without so much to spare, does not.</summary>
    ulong Target { get; set; }

    /// <summary>Bytes that the guest has given back by its own account.</summary>
    ulong Size { get; }
}
