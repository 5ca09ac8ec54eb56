namespace Lamina.Personalities.Scsi;

/// <summary>Told that commands have ended.</summary>
internal interface IScsiCompletion
{
    /// <summary>On a thread of a back end's, with no lock held. Takes the request back.</summary>
    void OnCompleted(ScsiRequest request);
}
