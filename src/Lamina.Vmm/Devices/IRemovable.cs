namespace Lamina.Vmm.Devices;

/// <summary>A device that its guest can be asked to give up.</summary>
internal interface IRemovable : IDisposable
{
    /// <summary>Whether somebody on the host wants it gone.</summary>
    bool RemovalRequested { get; set; }

    /// <summary>Completes when it is off the machine and closed.</summary>
    Task Removed { get; }
}
