namespace Lamina.Personalities.HyperV.Video;

/// <summary>Messages of the synthetic video device (Linux, drivers/video/fbdev/hyperv_fb.c, enum synthvid_msg_type).</summary>
internal enum VideoMessage : uint
{
    VersionRequest = 1,
    VersionResponse = 2,
    VramLocation = 3,
    VramLocationAck = 4,
    SituationUpdate = 5,
    SituationUpdateAck = 6,
    FeatureChange = 9,
    Dirt = 10,
    ResolutionRequest = 13,
    ResolutionResponse = 14,
}
